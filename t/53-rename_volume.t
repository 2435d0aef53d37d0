use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 2);
my $scfg = $sim->section();

my $volid = $class->rename_volume($scfg, 'nas1', 'vol-vm-100-disk-0-lun0', 101, undef);
like $volid, qr{\Anas1:vol-vm-101-disk-1-lun\d+\z}, 'the next free name, as a volume id';
my @volids = map { $_->{volid} } $class->list_images('nas1', $scfg)->@*;
ok((grep { $_ eq $volid } @volids), 'under which it is listed');
ok !(grep { /vm-100-/ } @volids), 'and no longer under the old one';

my ($volname) = $volid =~ /^nas1:(.+)/;
my $again = $class->rename_volume($scfg, 'nas1', $volname, 300, 'vm-300-disk-4');
like $again, qr{\Anas1:vol-vm-300-disk-4-lun\d+\z}, 'or the name that PVE wants';
ok !eval { $class->rename_volume($scfg, 'nas1', 'vm-300-disk-4', 101, 'vm-101-disk-0'); 1 },
    'not over another disk';
like $@, qr/already exists/, 'which is said';

done_testing;
