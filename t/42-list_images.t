use v5.36;

use Scalar::Util qw(tainted);
use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 3);
my $scfg = $sim->section();

sub volids (@filter) {
    return [map { $_->{volid} } $class->list_images('nas1', $scfg, @filter)->@*];
}

my $images = $class->list_images('nas1', $scfg);
is @$images, 3, 'every volume, with the two arguments that PVE sometimes passes';
my ($first) = @$images;
is_deeply [sort keys %$first], [qw(ctime format size used vmid volid)],
    'what PVE shows, and no parent where there is none';
is $first->{format}, 'raw', 'raw';
is $first->{vmid}, 100, 'with its owner';
cmp_ok $first->{ctime}, '>', 1.6e9, 'the time it was made, in seconds';
is scalar(grep { tainted($_) } values %$first), 0, 'nothing is tainted';

my @all = volids()->@*;
is_deeply volids(101), [$all[1]], 'the volumes of one guest';
is_deeply volids(999), [], 'an empty list for a guest that has none';
is_deeply volids(101, [$all[0], 'nas1:vm-7-disk-0']), [$all[0]], 'a list of ids is the only filter';
is_deeply volids(undef, []), [], 'an empty list of ids wants nothing';

ok !eval { $class->list_images('nas1', $sim->section(dataset => 'tank/nothing')); 1 },
    'a dataset that is not there is an error, not an empty list';

done_testing;
