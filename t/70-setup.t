use v5.36;

use File::Path qw(make_path);
use IO::Socket::INET;
use Test::More;

use lib 't/lib';
use TestNode qw(beside_sim etc_folder node_folder root untaint write_cfg);
use TestSim;
use PVE::Storage;

# pvetruenas setup through pvesm and the plugin's own hook: what the stand-in of the tool's tests does not do.
# Logins are counted by address: each server has its own, with a data portal that takes connections.
my ($address, $portal, $servers);

sub started (%more) {
    $address = sprintf '127.%d.%d.%d', 70 + $servers++, 1 + $$ / 250 % 250, 1 + $$ % 250;
    $portal = IO::Socket::INET->new(LocalAddr => $address, LocalPort => 3260, Listen => 20)
        or die "$address: $!";
    return TestSim->start(
        listen => "$address:0",
        portal => "$address:3260",
        'nvme-portal' => "$address:4420",
        plain => '',
        %more
    );
}

# As on a node: the tool starts pvesm from its one place, without anything of its own environment.
my $sbin = node_folder() . '/usr/sbin';
make_path($sbin);
my $place = root();
my $etc = etc_folder();
my $node = node_folder();
open my $pvesm, '>', "$sbin/pvesm" or die "pvesm: $!";
print {$pvesm} <<"SCRIPT";
#!/bin/sh
cd $place || exit 1
echo "\$@" >>$node/calls
exec $^X -T -Ilib -Iblib/lib -Iblib/arch tools/pvesm --cfg $etc/storage.cfg --node $node "\$@"
SCRIPT
close $pvesm or die "pvesm: $!";
chmod 0755, "$sbin/pvesm";

sub content ($file) {
    open my $handle, '<', $file or return '';
    local $/ = undef;
    return scalar(readline $handle) // '';
}

# Exit status and all that was said.
sub setup ($sim, @more) {
    chmod 0600, "$sim->{folder}/key";
    my @command = (
        beside_sim("pvetruenas"), "setup", "nas1", '--host', "$sim->{host}:$sim->{port}",
        '--fingerprint', $sim->{fingerprint}, '--key-file', "$sim->{folder}/key", '--dataset',
        'tank/new', '--portal', $address, '--create', '--new-user', 'proxmox-nas1', '--apply', @more
    );
    local $ENV{PVETRUENAS_NODE} = $node;
    local $ENV{PVETRUENAS_ETC_PVE} = $etc;
    my $pid = open my $output, '-|';
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die "stderr: $!";
        open STDIN, '<', '/dev/null' or die "stdin: $!";
        exec map { untaint($_) } @command or die "pvetruenas: $!";
    }
    local $/ = undef;
    my $said = <$output>;
    close $output;
    return ($? >> 8, $said);
}

my $cfg = "dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\n";
my $iqn = 'iqn.2005-10.org.freenas.ctl:nas1';

subtest 'what the hook refuses is taken back' => sub {
    my $faults = node_folder() . '/faults.json';
    open my $file, '>', $faults or die "faults: $!";
    print {$file} '[{"method":"iscsi.extent.create","nth":1,"when":"before","do":"error",'
        . '"error":{"code":-32001,"errname":"EFAULT","reason":"[EFAULT] injected"}}]';
    close $file or die "faults: $!";
    my $sim = started(faults => $faults);
    write_cfg($cfg);
    my ($status, $said) = setup($sim, '--target', $iqn);
    is $status, 2, 'refused';
    like $said, qr/create storage failed: .*injected/, 'with the reason of the hook';
    is content("$etc/storage.cfg"), $cfg, 'storage.cfg is as before';
    ok !-e "$etc/priv/storage/nas1.truenas", 'no secret is left';
    is_deeply [map { $_->{username} } $sim->by_hand('user.query', [])->@*], [], 'nor a user';
    is_deeply [grep { $_->{name} eq 'nas1' } $sim->by_hand('iscsi.target.query', [])->@*], [], 'nor a target';
    like $said, qr{left behind: dataset tank/new \(}, 'the weight volume keeps its dataset, which is named';
};

subtest 'a storage from nothing' => sub {
    my $sim = started();
    write_cfg($cfg);
    unlink "$node/calls";
    my ($status, $said) = setup($sim, '--target', $iqn);
    is $status, 0, 'set up' or diag $said;
    my $stored = content("$etc/priv/storage/nas1.truenas");
    my ($key) = $stored =~ /"api_key":"\d+-(\w+)"/;
    ok defined $key, 'its key is stored';
    my ($admins) = $sim->key() =~ /-(.*)/;
    unlike $stored, qr/\Q$admins\E/, 'that of the administrator is not';
    my $calls = content("$node/calls");
    like $calls, qr/^add truenasplugin nas1 /, 'added by pvesm';
    unlike $calls . $said . content("$etc/storage.cfg"), qr/\Q$key\E|\Q$admins\E/, 'no key anywhere else';

    my $info = PVE::Storage::storage_info(PVE::Storage::config());
    is $info->{nas1}->{active}, 1, 'active';
    my $volid = PVE::Storage::vdisk_alloc(PVE::Storage::config(), 'nas1', 100, 'raw', undef, 1024);
    like $volid, qr/^nas1:vol-vm-100-disk-0-lun\d+$/, 'with the roles of its user a disk is made';
    PVE::Storage::vdisk_free(PVE::Storage::config(), $volid);
    is_deeply PVE::Storage::volume_list(PVE::Storage::config(), 'nas1'), [], 'and freed';
};

subtest 'over NVMe' => sub {
    my $sim = started();
    write_cfg($cfg);
    my ($status, $said) = setup($sim, '--subsystem', 'nqn.2011-06.com.truenas:nas1');
    is $status, 1, 'set up, with a warning' or diag $said;
    like $said, qr/warning +portal +\Q$address\E:4420/, 'of the portal that answers nobody here';
    my $volid = PVE::Storage::vdisk_alloc(PVE::Storage::config(), 'nas1', 100, 'raw', undef, 1024);
    like $volid, qr/^nas1:vol-vm-100-disk-0-ns/, 'with the roles of its user a disk is made';
};

done_testing();
