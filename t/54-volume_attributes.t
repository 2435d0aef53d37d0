use v5.36;
use utf8;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $scfg = $sim->section();
my @volume = ($scfg, 'nas1', 'vol-vm-100-disk-0-lun0');

is $class->get_volume_attribute(@volume, 'notes'), undef, 'no notes yet';
$class->update_volume_attribute(@volume, 'notes', "für später\nzweite Zeile");
is $class->get_volume_attribute(@volume, 'notes'), "für später\nzweite Zeile", 'notes of several lines';
is $class->get_volume_notes(@volume), "für später\nzweite Zeile", 'by the old method too';
$class->update_volume_notes(@volume, '');
is $class->get_volume_notes(@volume), undef, 'which also removes them';

$class->update_volume_attribute(@volume, 'protected', 1);
is $class->get_volume_attribute(@volume, 'protected'), 1, 'protected';
ok !eval { $class->free_image('nas1', $scfg, $volume[2], 0); 1 }, 'so it is not freed';
like $@, qr/the volume is protected\n  what to do: /, 'and the reason is said';
$class->update_volume_attribute(@volume, 'protected', undef);
is $class->get_volume_attribute(@volume, 'protected'), undef, 'no longer protected';

is $class->get_volume_attribute(@volume, 'colour'), undef, 'other attributes are not there';
ok !eval { $class->update_volume_attribute(@volume, 'colour', 'red'); 1 }, 'and cannot be set';
like $@, qr/no attribute 'colour'/, 'which is said';

done_testing;
