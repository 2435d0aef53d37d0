package PVE::JSONSchema;

# Stand-in: as much of PVE's schema checks as values in storage.cfg need.

use v5.36;

# pve-contract.md section 2, "booleans in the file".
sub check_prop ($value, $schema, $path, $errors) {
    my $type = $schema->{type} // 'string';
    my $problem;
    if ($type eq 'boolean') {
        $problem = "type check ('boolean') failed - got '$value'" if $value !~ /^[01]$/;
    } elsif ($type eq 'integer') {
        $problem = "type check ('integer') failed - got '$value'" if $value !~ /^[+-]?\d+$/;
    } elsif ($type eq 'number') {
        $problem = "type check ('number') failed - got '$value'"
            if $value !~ /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
    }
    if (!$problem && $schema->{enum} && !grep { $_ eq $value } $schema->{enum}->@*) {
        $problem = "value '$value' does not have a value in the enumeration '"
            . join(', ', $schema->{enum}->@*) . "'";
    }
    $errors->{ $path || '_root' } = $problem if $problem;
    return;
}

1;
