use v5.36;

use File::Path qw(make_path);
use Test::More;

use lib 't/lib';
use TestFakeNode;
use TestNode qw(beside_sim etc_folder node_folder);
use TestSim;
use PVE::Storage;

# The table of tests on devices is in rig/tests, which tools/rig-test --fake runs over the fake node; here is what one process
# sees through the plugin's own methods.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';

# As Debian 13 has it; the tests in rig/tests run over a node as Debian 12 is.
make_path(node_folder() . '/var/lib/iscsi/nodes', etc_folder() . '/nodes');
my $sim = TestSim->start();
my $node = TestFakeNode->start($sim);
my $section = $sim->section(discovery_portal => '127.0.0.1:3260');

sub alloc ($vmid, $kib) { return $class->alloc_image('nas1', $section, $vmid, 'raw', undef, $kib) }

sub activate ($volname) {
    return eval { $class->activate_volume('nas1', $section, $volname, undef, {}); 1 } || diag $@;
}

# Of the path on this node.
sub size ($name) { return $node->ask('usr/sbin/blockdev', '--getsize64', "$name") }
sub link_of ($zname) { return node_folder() . "/dev/truenas/nas1/$zname" }

# What Prometheus is told of the node.
sub told () {
    open my $output, '-|', beside_sim('pvetruenas'), 'metrics', 'nas1' or die "pvetruenas: $!";
    return join '', <$output>;
}

my $first = alloc(100, 32 * 1024);
is_deeply [$node->names('sys/class/scsi_disk')], [], 'a new volume has no device';
ok activate($first), 'activate';
is scalar $node->names('sys/class/scsi_disk'), 1,
    'one disk appeared: the volume, not the one that keeps the target';
my $target = readlink link_of('vm-100-disk-0');
like $target, qr{/dev/disk/by-id/wwn-0x6589cfc[0-9a-f]{25}$}, 'the path leads to the link by identity';
is size(link_of('vm-100-disk-0')), 32 * 2**20, 'in the size of the volume';
my ($wwn) = $target =~ /wwn-0x(.*)/;
is $node->ask('lib/udev/scsi_id', '-g', '-u', link_of('vm-100-disk-0')), "3$wwn",
    'and the disk itself says so';

is scalar(grep { / --login$/ } $node->started()), 1, 'one login was needed';
my ($record) = $node->names("var/lib/iscsi/nodes/$section->{target_iqn}");
is $record, '127.0.0.1,3260', 'with a record where open-iscsi has them';
$sim->calls();
ok activate($first), 'once more';
is_deeply [$node->started()], [], 'starts no program';
is_deeply [$sim->calls()], [], 'and asks the NAS nothing';
$sim->configure('nas1', discovery_portal => '127.0.0.1:3260');
like told(), qr/^truenas_cache_hits_total\{storage="nas1",cache="activation"\} 1$/m, 'which is counted';
$sim->calls();

my $second = alloc(101, 64 * 1024);
ok activate($second), 'another volume';
is_deeply [$node->started()], [], 'uses the same session';
is readlink link_of('vm-100-disk-0'), $target, 'and leaves the first as it is';

ok eval { $class->volume_resize($section, 'nas1', $first, 48 * 2**20, undef, undef); 1 }, 'resize' or diag $@;
is size(link_of('vm-100-disk-0')), 48 * 2**20, 'returns when the node sees the size';

my ($disk) = $node->names('sys/block');
mkdir node_folder() . "/sys/block/$disk/holders/dm-7" or die "holders: $!";
is $class->deactivate_volume('nas1', $section, $first, undef, {}), 1, 'a volume that something is built on';
ok -l link_of('vm-100-disk-0'), 'stays active';
ok !eval { $class->free_image('nas1', $section, $first, 0); 1 }, 'and is not freed';
like $@, qr/in use on this node: device 'dm-7'/, 'by the name of what uses it';
rmdir node_folder() . "/sys/block/$disk/holders/dm-7" or die "holders: $!";

my $finish = $class->free_image('nas1', $section, $second, 0);
$finish->() if $finish;
ok !-l link_of('vm-101-disk-0'), 'free of an active volume takes its link';
is scalar $node->names('sys/class/scsi_disk'), 1, 'and its disk';
is $class->deactivate_volume('nas1', $section, $first, undef, {}), 1, 'deactivate';
is_deeply [$node->names('sys/class/scsi_disk'), $node->names('dev/truenas/nas1')], [],
    'leaves neither disk nor link';
is scalar $node->names('sys/class/iscsi_session'), 1, 'but the session';

done_testing;
