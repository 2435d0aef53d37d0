package TestFakeNode;

# Devices for the node of a test: the fake node in a process of its own, which follows what a TestSim exports.

use v5.36;

use TestNode qw(root node_folder untaint);

# Process id of each, and of the process that started it.
my %running;

sub binary () {
    my ($folder) = ($ENV{TRUENAS_SIM} // root() . '/target/debug/truenas-sim') =~ m{^(.*)/[^/]+$}s;
    my $binary = untaint($folder) . '/fake-node';
    die "no $binary: build it (cargo build -p truenas-sim)\n" if !-x $binary;
    return $binary;
}

sub start ($class, $sim) {
    my $pid = open my $output, '-|', binary(), node_folder(), untaint("$sim->{folder}/exports.json")
        or die "fake-node: $!";
    $running{$pid} = $$;
    my $self = bless { pid => $pid, output => $output }, $class;
    my $line = <$output> // die "fake-node ended\n";
    die "fake-node said: $line" if $line !~ /^node: fake /;
    return $self;
}

# Names in a folder of the node.
sub names ($self, $below) {
    opendir my $folder, node_folder() . "/$below" or return ();
    my @names = sort grep { !/^\.\.?$/ } map { untaint($_) } readdir $folder;
    return @names;
}

# Programs that were started since the last time.
sub started ($self) {
    open my $log, '<', node_folder() . '/fake/started' or return ();
    my @all = map { untaint(s/\n//r) } <$log>;
    my @new = splice @all, $self->{seen} // 0;
    $self->{seen} += @new;
    return @new;
}

# What a program of the node prints about a path.
sub ask ($self, $program, @arguments) {
    open my $output, '-|', node_folder() . "/$program", @arguments or die "$program: $!";
    my $said = <$output> // '';
    close $output;
    return $said =~ s/\n//r;
}

sub _stop ($pid) {
    return if (delete $running{$pid} // 0) != $$;
    kill TERM => $pid;
    waitpid $pid, 0;
    return;
}

# Perl would wait for the end of the output.
sub DESTROY ($self) {
    local ($?, $!, $@) = ($?, $!, $@);
    _stop($self->{pid});
    return;
}

# Before the folder of the node goes.
END {
    local $?;
    _stop($_) for keys %running;
}

1;
