use v5.36;

use File::Find qw(find);
use File::Path qw(make_path);
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;

use lib 't/lib';
use TestFakeNode;
use TestNode qw(etc_folder node_folder read_cfg untaint write_cfg);
use TestSim;
use PVE::Storage;
use PVE::StorageConfig;

# Every secret has a value of its own. A storage and a volume live, with errors and with everything logged; then it is looked
# where each value is.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';

sub random ($length) {
    my @letters = ('a' .. 'z', 'A' .. 'Z', 0 .. 9);
    return join '', map { $letters[rand @letters] } 1 .. $length;
}

my %secret = (
    chap_password => random(14),
    tn_chap_peer_password => random(15),
    nvme_dhchap_secret => 'DHHC-1:00:' . random(48) . ':',
    nvme_dhchap_ctrl_secret => 'DHHC-1:00:' . random(48) . ':',
);
my %wrong = (api_key => '1-' . random(64), chap_password => random(14));

make_path(map { node_folder() . $_ } qw(/var/lib/iscsi/nodes /run/systemd/journal));
my @said;

my $sim = TestSim->start('limiter-window' => 1);
my $node = TestFakeNode->start($sim);

# The node makes its /dev anew.
my $log = IO::Socket::UNIX->new(Local => node_folder() . '/dev/log', Type => SOCK_DGRAM) or die "dev/log: $!";
$log->blocking(0);
my $journal =
    IO::Socket::UNIX->new(Local => node_folder() . '/run/systemd/journal/socket', Type => SOCK_DGRAM)
    or die "journal: $!";
$journal->blocking(0);

sub hear () {
    for my $socket ($log, $journal) {
        while (defined $socket->recv(my $message, 65536)) { push @said, untaint($message) }
    }
    return;
}

$secret{api_key} = $sim->key();

# Each program tells its arguments and its environment before it runs.
my $started = node_folder() . '/started-with';
for my $name (qw(iscsiadm multipath multipathd)) {
    my $path = node_folder() . "/usr/sbin/$name";
    rename $path, "$path.real" or die "$path: $!";
    open my $file, '>', $path or die "$path: $!";
    print {$file} qq{#!/bin/sh\n{ echo "\$0 \$*"; tr '\\0' '\\n' </proc/\$\$/environ; } >>$started\n},
        qq{exec $path.real "\$@"\n};
    close $file or die "$path: $!";
    chmod oct 755, $path or die "$path: $!";
}

my @errors;

sub attempt ($what, $works, $code) {
    local $SIG{__WARN__} = sub { push @errors, @_ };
    my $done = eval { $code->(); 1 };
    push @errors, $@ if !$done;
    hear();
    is(!!$done, !!$works, $what) || diag $@;
    unlink map { untaint($_) } glob node_folder() . '/run/pve-storage-truenas/logins/*';
    return;
}

my %keys = (
    $sim->section(
        %secret,
        discovery_portal => '127.0.0.1:3260',
        chap_user => 'pve',
        tn_chap_peer_user => 'nas',
        debug => 2,
    )->%*
);
delete @keys{qw(type shared)};

write_cfg('');
attempt(
    'a wrong key', 0,
    sub { PVE::StorageConfig::add('truenasplugin', 'nas1', %keys, api_key => $wrong{api_key}) }
);
attempt(
    'a key with a line end',
    0,
    sub {
        PVE::StorageConfig::add('truenasplugin', 'nas1', %keys, chap_password => "$wrong{chap_password}\nx");
    }
);
attempt('the storage', 1, sub { PVE::StorageConfig::add('truenasplugin', 'nas1', %keys) });
my $section = PVE::Storage::config()->{ids}->{nas1};
my $volname;
attempt('a volume', 1, sub { $volname = $class->alloc_image('nas1', $section, 100, 'raw', undef, 1024) });
attempt('active', 1, sub { $class->activate_volume('nas1', $section, $volname, undef, {}) });
attempt(
    'a second snapshot of a name', 0,
    sub { $class->volume_snapshot($section, 'nas1', $volname, 'one') for 1 .. 2 }
);
attempt(
    'a volume that is not there', 0,
    sub { $class->activate_volume('nas1', $section, 'vm-9-disk-0', undef, {}) }
);
attempt(
    'over NVMe without a kernel',
    0,
    sub {
        my $nvme =
            { %$section, transport_mode => 'nvme-tcp', subsystem_nqn => 'nqn.2011-06.com.truenas:own' };
        $class->activate_volume('nas1', $nvme, $volname, undef, {});
    }
);
attempt(
    'a dead portal',
    0,
    sub {
        $class->deactivate_volume('nas1', $section, $volname, undef, {});
        $class->activate_volume(
            'nas1', { %$section, discovery_portal => '127.0.0.9:1' }, $volname, undef,
            {}
        );
    }
);
attempt(
    'the end of the volume', 1,
    sub { my $finish = $class->free_image('nas1', $section, $volname, 0); $finish->() if $finish }
);

# Files that hold one of the values, below a folder.
sub holders ($folder) {
    my %found;
    my $look = sub {
        return if !-f || -l;
        open my $file, '<', untaint($_) or return;
        local $/ = undef;
        my $text = <$file> // '';
        for my $name (grep { index($text, $secret{$_}) >= 0 } keys %secret) {
            $found{ untaint($File::Find::name) } = sprintf '%o', (stat _)[2] & oct 7777;
        }
    };
    find({ wanted => $look, no_chdir => 1, untaint => 1, untaint_pattern => qr/^(.*)$/s }, $folder);
    return \%found;
}

sub told ($text) {
    my %all = (%secret, map { ("wrong $_" => $wrong{$_}) } keys %wrong);
    return [grep { index($text, $all{$_}) >= 0 } sort keys %all];
}

sub content ($path) {
    open my $file, '<', $path or return '';
    local $/ = undef;
    return <$file> // '';
}

my $arguments = content($started);
like $arguments, qr/iscsiadm -m node .* --login/, 'programs were started';
is_deeply told($arguments), [], 'with no secret among arguments and environment';
cmp_ok scalar @said, '>', 10, 'much was logged';
is_deeply told("@said"), [], 'and no secret';
cmp_ok scalar @errors, '>', 4, 'there were errors';
is_deeply told("@errors"), [], 'that tell no secret';
is_deeply told(read_cfg()), [], 'nor does storage.cfg';
my $etc = holders(etc_folder());
is_deeply $etc, { etc_folder() . '/priv/storage/nas1.truenas' => '600' }, 'in /etc/pve one file has them';
my %node = holders(node_folder())->%*;
my @elsewhere = grep { !m{/sim\d+/} && !m{/var/lib/iscsi/nodes/} } sort keys %node;
is_deeply \@elsewhere, [], 'on the node no file but the records of iscsiadm';
my @records = grep { m{/var/lib/iscsi/nodes/} } sort keys %node;
cmp_ok scalar @records, '>', 0, 'which have them';
is_deeply [grep { $node{$_} ne '600' } @records], [], 'for root alone';

# The test would notice.
is_deeply told("x $secret{chap_password} x"), ['chap_password'], 'a secret in a text is seen';
open my $file, '>', node_folder() . '/run/leak' or die "leak: $!";
print {$file} "<$secret{nvme_dhchap_secret}>";
close $file or die "leak: $!";
ok holders(node_folder())->{ node_folder() . '/run/leak' }, 'and one in a file';

done_testing;
