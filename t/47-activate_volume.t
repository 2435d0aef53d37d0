use v5.36;

use IO::Socket::INET;
use Test::More;

use lib 't/lib';
use TestNode qw(node_folder);
use TestSim;
use PVE::Storage;

# What a device really does is shown on a real kernel (rig/tests); here is what needs none.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $portal = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "no portal: $!";
my $address = '127.0.0.1:' . $portal->sockport();
my $section = $sim->section(discovery_portal => $address);
my ($volname) = $class->list_images('nas1', $section)->[0]->{volid} =~ /^nas1:(.+)$/;

ok !eval { $class->activate_volume('nas1', $section, $volname, undef, {}, {}); 1 },
    'without open-iscsi: an error';
like $@, qr{^activate \Q$volname\E on storage 'nas1': }, 'that says what was tried';
like $@, qr{iscsiadm is not installed.*apt install open-iscsi}s, 'why not, and what to do';
my $dead = $sim->section(discovery_portal => '127.0.0.1:1');
ok !eval { $class->activate_volume('nas2', $dead, $volname, undef, {}); 1 }, 'without a portal: an error too';
like $@, qr{no iSCSI session to .*portal 127\.0\.0\.1:1: .*what to do: }s, 'that names it';
ok !-e node_folder() . "/dev/truenas/nas1/vm-100-disk-0", 'and no link pretends a device';

ok !eval { $class->activate_volume('nas1', $section, 'vm-999-disk-0', undef, {}); 1 },
    'a volume that is not there';
like $@, qr/no zvol 'tank\/proxmox\/vm-999-disk-0'/, 'is named';
ok !eval { $class->activate_volume('nas1', $section, $volname, 'before', {}); 1 },
    'a snapshot that is not there';
like $@, qr/no snapshot 'tank\/proxmox\/vm-100-disk-0\@before'/, 'is named';

is $class->deactivate_volume('nas1', $section, $volname, undef, {}), 1,
    'what is not active is deactivated already';
is $class->deactivate_volume('nas1', $section, $volname, 'before', {}), 1, 'snapshots too';
is $class->map_volume('nas1', $section, $volname), '/dev/truenas/nas1/vm-100-disk-0',
    'mapped where path says';
is $class->unmap_volume('nas1', $section, $volname), 1, 'nothing to unmap';

done_testing;
