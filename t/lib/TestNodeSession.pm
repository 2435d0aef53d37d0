package TestNodeSession;

# The node session of the test's node, in a process of its own.

use v5.36;

use TestNode qw(beside_sim);

sub binary () {
    my $binary = beside_sim('pve-storage-truenas-session');
    die "no $binary: build it (tools/build)\n" if !-x $binary;
    return $binary;
}

# Options are the program's: (idle => 5). Its unit has the same priority.
sub start ($class, %options) {
    my @priority = $> == 0 ? qw(nice -n -10) : ();
    my @command = (@priority, binary(), map { ("--$_", $options{$_}) } sort keys %options);
    my $pid = open my $output, '-|', @command or die "pve-storage-truenas-session: $!";
    my $self = bless { pid => $pid, owner => $$, output => $output }, $class;
    my $line = <$output> // die "the node session ended\n";
    die "the node session said: $line" if $line !~ /^listening /;
    return $self;
}

sub signal ($self, $name) {
    kill $name => $self->{pid} or die "no node session\n";
    return;
}

sub stop ($self) {
    my $pid = delete $self->{pid} // return;
    kill TERM => $pid;
    close delete $self->{output};
    return;
}

sub DESTROY ($self) {
    local ($?, $!, $@) = ($?, $!, $@);
    $self->stop() if $self->{owner} == $$;
    return;
}

1;
