use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $scfg = $sim->section();
my $volname = 'vol-vm-100-disk-0-lun0';

sub size () { return scalar $class->volume_size_info($scfg, 'nas1', $volname, 5) }

ok eval { $class->volume_resize($scfg, 'nas1', $volname, 2 * 2**30, undef, undef); 1 }, 'a volume grows'
    or diag $@;
is size(), 2 * 2**30, 'to the size in bytes';
ok eval { $class->volume_resize($scfg, 'nas1', $volname, 2 * 2**30 + 1024, undef); 1 },
    'without the last argument too';
is size() % 16384, 0, 'in whole blocks';
cmp_ok size(), '>=', 2 * 2**30 + 1024, 'never less than was asked for';

my $now = size();
my @refused = (
    ['smaller', [2**30, undef, undef], qr/shrink|smaller/],
    ['no number', ['big', undef, undef], qr/big/],
    ['of a snapshot', [8 * 2**30, undef, 'before'], qr/snapshot/],
);
for my $case (@refused) {
    my ($what, $arguments, $pattern) = @$case;
    ok !eval { $class->volume_resize($scfg, 'nas1', $volname, @$arguments); 1 }, "$what: refused";
    like $@, $pattern, 'by its reason';
}
is size(), $now, 'and nothing changed';

done_testing;
