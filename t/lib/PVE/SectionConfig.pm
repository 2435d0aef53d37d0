package PVE::SectionConfig;

# Stand-in: a file of sections, each with a type that a plugin has registered. Behaves as PVE where that hurts.

use v5.36;

use Digest::SHA qw(sha1_hex);

use PVE::JSONSchema;

sub type ($class) { die "$class: type is missing\n" }
sub private ($class) { die "$class: private is missing\n" }
sub properties ($class) { return {} }
sub options ($class) { return {} }
sub plugindata ($class) { return {} }
sub encode_value ($class, $type, $key, $value) { return $value }
sub decode_value ($class, $type, $key, $value) { return $value }

# pve-contract.md section 1: a second plugin of the same type is an error, caught by the loader.
sub register ($class) {
    my $private = $class->private();
    my $type = $class->type();
    die "duplicate plugin registration (type = $type)\n" if $private->{plugins}->{$type};
    $private->{plugins}->{$type} = $class;
    $private->{plugindata}->{$type} = $class->plugindata();
    return;
}

# pve-contract.md section 1 and 2: properties of all plugins first, one name space, a second definition is fatal; so is an
# option that nobody defines. The order is that of a hash in PVE; here a test can choose it.
sub init ($class) {
    my $private = $class->private();
    my %plugins = $private->{plugins}->%*;
    my @types = sort keys %plugins;
    @types = reverse @types if ($ENV{PVE_STANDIN_ORDER} // '') eq 'reverse';
    for my $type (@types) {
        my $properties = $plugins{$type}->properties();
        for my $name (sort keys %$properties) {
            die "duplicate property '$name'\n" if $private->{propertyList}->{$name};
            $private->{propertyList}->{$name} = { $properties->{$name}->%*, optional => 1 };
        }
    }
    for my $type (@types) {
        my $options = $plugins{$type}->options();
        for my $name (sort keys %$options) {
            die "undefined property '$name'\n" if !$private->{propertyList}->{$name};
        }
        $private->{options}->{$type} = $options;
    }
    return;
}

sub lookup ($class, $type) {
    return $class->private()->{plugins}->{$type} // die "unknown section type '$type'\n";
}

# pve-contract.md section 2: numbers are converted, other types stay as they are.
sub check_value ($class, $type, $key, $value, $id, $stored = undef) {
    return $value if $key eq 'type' && $value eq $type;
    my $private = $class->private();
    die "unexpected property '$key'\n" if !$private->{options}->{$type}->{$key};
    my $schema = $private->{propertyList}->{$key};
    $value = 1 if !defined $value && $schema->{type} eq 'boolean';
    die "got undefined value\n" if !defined $value;
    die "property contains a line feed\n" if $value =~ /[\r\n]/;
    if (!$stored) {
        my %errors;
        PVE::JSONSchema::check_prop($value, $schema, '', \%errors);
        die "$errors{_root}\n" if %errors;
    }
    return $schema->{type} =~ /^(?:boolean|integer|number)$/ ? $value + 0 : $value;
}

# pve-contract.md section 2: returns a new hash; required keys only when creating, fixed ones only then.
sub check_config ($class, $id, $config, $create, $stored = undef) {
    my $type = $class->type();
    my $options = $class->private()->{options}->{$type};
    my %checked = (type => $type);
    for my $key (sort keys %$config) {
        die "can't change value of fixed parameter '$key'\n" if !$create && ($options->{$key} // {})->{fixed};
        die "got undefined value for option '$key'\n" if !defined $config->{$key};
        my $value = $class->check_value($type, $key, $config->{$key}, $id, $stored);
        $checked{$key} = $class->decode_value($type, $key, $value);
    }
    for my $key ($create ? sort keys %$options : ()) {
        die "missing value for required option '$key'\n"
            if !$options->{$key}->{optional} && !defined $config->{$key};
    }
    return \%checked;
}

# pve-contract.md section 2, "Parsing": an unknown property costs its line, an unknown type its section, and a dying
# check_config leaves an undefined section behind. What was lost is gone at the next write.
sub parse_config ($class, $filename, $raw) {
    my (%ids, %order);
    my $plugins = $class->private()->{plugins};
    for my $block (split /\n(?:[ \t]*\n)+/, $raw) {
        my ($header, @lines) = grep { !/^\s*(?:#|$)/ } split /\n/, $block;
        next if !defined $header;
        my ($type, $id) = $header =~ /^(\S+):\s*(\S+)\s*$/
            or do { warn "ignore config line: $header\n"; next };
        $type = lc $type;
        my $plugin = $plugins->{$type};
        if (!$plugin) {
            warn "file $filename (skip section '$id'): unsupported type '$type'\n";
            next;
        }
        my %config = (type => $type);
        for my $line (@lines) {
            my ($key, $value) = $line =~ /^\s+(\S+)(?:\s+(.*?))?\s*$/
                or do { warn "ignore config line: $line\n"; next };
            my $checked = eval { $plugin->check_value($type, $key, $value, $id) };
            warn "file $filename (section '$id') - unable to parse value of '$key': $@" if $@;
            $config{$key} = $checked if defined $checked;
        }
        $ids{$id} = eval { $plugin->check_config($id, \%config, 1, 1) };
        warn "file $filename (skip section '$id'): $@" if $@;
        $order{$id} = keys %order;
    }
    return { ids => \%ids, order => \%order, digest => sha1_hex($raw) };
}

# pve-contract.md section 2: one undefined section, and no write succeeds.
sub write_config ($class, $filename, $config) {
    my $private = $class->private();
    my $order = $config->{order};
    my $text = '';
    for my $id (sort { ($order->{$a} // 1e9) <=> ($order->{$b} // 1e9) || $a cmp $b } keys $config->{ids}->%*)
    {
        my $section = $config->{ids}->{$id};
        my $type = $section->{type} // '';
        my $options = $private->{options}->{$type} // die "unknown section type '$type'\n";
        $text .= "$type: $id\n";
        $text .= "\tdisable\n" if $section->{disable};
        for my $key (grep { $_ ne 'disable' } sort keys %$options) {
            next if !defined $section->{$key};
            my $value = $class->encode_value($type, $key, $section->{$key});
            die "property '$key' contains a line feed\n" if $value =~ /[\r\n]/;
            $text .= "\t$key $value\n" if $value ne '';
        }
        $text .= "\n";
    }
    return $text;
}

1;
