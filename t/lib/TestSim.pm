package TestSim;

# A TrueNAS for a test: the simulator in a process of its own, and a storage.cfg that points to it.

use v5.36;

use JSON::PP qw(decode_json encode_json);

use PVE::Storage::TrueNAS::Native;
use Test::More;

use TestNode qw(root node_folder write_cfg untaint);

# A library for real nodes would write to /run and /etc/pve of this machine.
plan skip_all => 'the library was built without the feature fake-node'
    if !PVE::Storage::TrueNAS::Native->can('selftest');

my $KEY = '1-' . 'TestKey8' x 8;
my $count = 0;

sub binary () {
    my @places =
        ($ENV{TRUENAS_SIM}, root() . '/target/debug/truenas-sim', root() . '/target/release/truenas-sim');
    my ($found) = grep { defined && -x } @places;
    return untaint($found
            // die "no truenas-sim: build it (cargo build -p truenas-sim) or set TRUENAS_SIM\n");
}

# Options are the simulator's: (preload => 3, 'api-version' => '26.0.0').
sub start ($class, %options) {
    my $folder = node_folder() . '/sim' . $count++;
    mkdir $folder or die "$folder: $!";
    open my $key, '>', "$folder/key" or die "key: $!";
    print {$key} "$KEY\n";
    close $key or die "key: $!";
    my %all = (
        listen => '127.0.0.1:0',
        'api-key-file' => "$folder/key",
        exports => "$folder/exports.json",
        traffic => "$folder/traffic.jsonl",
        seed => 1,
        penalty => 0,    # a server makes a refused login wait
        %options,
    );
    my @command = (binary(), map { ("--$_", $all{$_} eq '' ? () : $all{$_}) } sort keys %all);
    my $pid = open my $output, '-|', @command or die "truenas-sim: $!";
    my $self = bless { pid => $pid, owner => $$, output => $output, folder => $folder }, $class;
    my $line = <$output> // die "truenas-sim ended\n";
    @$self{qw(host port fingerprint)} = $line =~ m{wss://([\d.]+):(\d+).*fingerprint (sha256:[0-9a-f]+)}
        or die "truenas-sim said: $line";
    ($self->{plain}) = $line =~ m{http://[\d.]+:(\d+)};
    return $self;
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

# A section of storage.cfg for this server; keys that are given win.
sub section ($self, %given) {
    return TestNode::section(
        api_host => $self->{host},
        api_port => untaint($self->{port}),
        tn_tls_fingerprint => untaint($self->{fingerprint}),
        api_key => $KEY,
        %given,
    );
}

sub key ($self) { return $KEY }

# Writes storage.cfg with one storage of these keys and returns what PVE makes of it.
sub configure ($self, $storeid, %given) {
    my $section = $self->section(%given);
    my @lines = map { "\t$_ $section->{$_}\n" } grep { $_ ne 'type' } sort keys %$section;
    write_cfg(join '', "truenasplugin: $storeid\n", @lines, "\n");
    return PVE::Storage::config();
}

# Calls the API as somebody else would. Wants a server that was started with plain => ''.
sub by_hand ($self, $method, $params) {
    my @command = (
        root() . '/rig/tests/api', untaint("$self->{host}:$self->{plain}"), $KEY, $method,
        encode_json($params)
    );
    open my $output, '-|', @command or die "$command[0]: $!";
    local $/ = undef;
    my $said = <$output>;
    close $output or die "$method failed\n";
    return JSON::PP->new->allow_nonref->decode($said);
}

# LUNs that initiators would see, without the one that keeps the target visible: number => size.
sub luns ($self) {
    my $exports = _decoded("$self->{folder}/exports.json");
    return {
        map { $_->{lun} => $_->{size} }
        grep { $_->{lun} != 0 } map { $_->{luns}->@* } $exports->{iscsi}->@*
    };
}

# Names of the methods called since the last time, without logins.
sub calls ($self) {
    my @all = $self->_methods();
    my @new = splice @all, $self->{seen} // 0;
    $self->{seen} += @new;
    return grep { !/^(?:auth\.|core\.set_options)/ } @new;
}

# How often somebody logged in, in all.
sub logins ($self) {
    return scalar grep { /^auth\.login/ } $self->_methods();
}

sub _methods ($self) {
    open my $file, '<', "$self->{folder}/traffic.jsonl" or return ();
    return map { /"method"\s*:\s*"([^"]+)"/ ? $1 : () } <$file>;
}

sub _decoded ($path) {
    open my $file, '<', $path or die "$path: $!";
    local $/ = undef;
    return decode_json(<$file>);
}

1;
