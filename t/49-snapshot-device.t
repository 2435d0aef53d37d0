use v5.36;

use File::Path qw(make_path);
use Test::More;

use lib 't/lib';
use TestFakeNode;
use TestNode qw(node_folder untaint);
use TestSim;
use PVE::Storage;

# What somebody else made is not removed because it has the name of a temporary clone. How snapshots are read over devices is
# in rig/tests/life.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';

make_path(node_folder() . '/var/lib/iscsi/nodes');
my $sim = TestSim->start(plain => '');
my $node = TestFakeNode->start($sim);
my $section = $sim->section(discovery_portal => '127.0.0.1:3260');

my $volname = $class->alloc_image('nas1', $section, 100, 'raw', undef, 32 * 1024);
$class->volume_snapshot($section, 'nas1', $volname, 'one');
ok eval { $class->activate_volume('nas1', $section, $volname, 'one', {}); 1 }, 'activate a snapshot'
    or diag $@;
my ($clone) = map { $_->{name} =~ m{^(tank/proxmox/tmp-.*)$} ? $1 : () }
    $sim->by_hand('pool.dataset.query', [[['type', '=', 'VOLUME']]])->@*;
ok $clone, 'its device is that of a temporary clone';
my $luns = $sim->luns();
is scalar keys %$luns, 2, 'which is exported beside the disk';

my @marks = map { { key => "pve-storage-truenas:$_", remove => JSON::PP::true } }
    qw(cluster storage volume name nonce version);
$sim->by_hand('pool.dataset.update', [$clone, { user_properties_update => \@marks }]);

ok !eval { $class->deactivate_volume('nas1', $section, $volname, 'one', {}); 1 }, 'a clone without our mark';
like $@,
    qr/^deactivate \S+ on storage 'nas1': zvol '\Q$clone\E' has the name of a temporary clone, but not its mark/,
    'is not taken away';
is_deeply $sim->luns(), $luns, 'and stays exported';
is scalar $node->names('sys/class/scsi_disk'), 1, 'with its device';

done_testing;
