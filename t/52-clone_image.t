use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $scfg = $sim->section();

my $base = $class->create_base('nas1', $scfg, 'vol-vm-100-disk-0-lun0');
is $base, 'vol-base-100-disk-0-lun0', 'a template keeps its number';
my $clone = $class->clone_image($scfg, 'nas1', $base, 200, undef);
like $clone, qr{\Avol-base-100-disk-0-lun0/vol-vm-200-disk-0-lun\d+\z}, 'a clone names its template';

my (undef, $name, $vmid, $basename, $basevmid, $is_base) = $class->parse_volname($clone);
is_deeply [$name, $vmid, $basename, $basevmid, $is_base], ['vm-200-disk-0', 200, 'base-100-disk-0', 100, !!0],
    'which PVE reads from its name';
is scalar $class->path($scfg, $clone, 'nas1'), '/dev/truenas/nas1/vm-200-disk-0', 'its device is its own';

my %listed = map { $_->{volid} => $_ } $class->list_images('nas1', $scfg)->@*;
is $listed{"nas1:$clone"}->{parent}, 'base-100-disk-0@__base__', 'the list shows where it comes from';
is $listed{"nas1:$clone"}->{size}, 2**30, 'and its size';
ok $listed{"nas1:$base"}, 'and the template';

# What PVE::Storage does before it frees a template.
my ($template) = ($class->parse_volname($base))[1];
ok(
    (grep { (($class->parse_volname($_ =~ s/^nas1://r))[3] // '') eq $template } keys %listed),
    'PVE sees that the template is used'
);
ok !eval { $class->free_image('nas1', $scfg, $base, 1); 1 }, 'and so do we';
like $@, qr/is the origin of: tank\/proxmox\/vm-200-disk-0/, 'by name';

$class->volume_snapshot($scfg, 'nas1', $clone, 'now');
my $other = $class->clone_image($scfg, 'nas1', $clone, 201, 'now');
like $other, qr{\Avol-vm-201-disk-0-lun\d+\z}, 'a clone of a snapshot stands for itself';
ok !eval { $class->clone_image($scfg, 'nas1', $other, 202, undef); 1 }, 'a disk itself is no source';
like $@, qr/only templates and snapshots can be cloned/, 'which is said';

done_testing;
