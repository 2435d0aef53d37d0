use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $scfg = $sim->section();

my ($size, $format, $used, $parent) = $class->volume_size_info($scfg, 'nas1', 'vol-vm-100-disk-0-lun0', 5);
is $size, 2**30, 'bytes';
is $format, 'raw', 'raw';
ok defined $used, 'what it uses';
is $parent, undef, 'no parent';
is scalar $class->volume_size_info($scfg, 'nas1', 'vm-100-disk-0'), $size,
    'in scalar context the size; any spelling';

ok !eval { $class->volume_size_info($scfg, 'nas1', 'vm-100-disk-9', 5); 1 }, 'a volume that is not there';
like $@, qr/vm-100-disk-9/, 'is named';

done_testing;
