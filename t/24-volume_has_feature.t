use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section);
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

sub has ($feature, $volname, $snapname = undef) {
    return $class->volume_has_feature(section(), $feature, 'nas1', $volname, $snapname, undef, {}) ? 1 : 0;
}

# feature => has it a current volume, a base, a snapshot.
my %features = (
    snapshot => [1, 0, 0],
    clone => [0, 1, 1],
    copy => [1, 1, 1],
    template => [1, 0, 0],
    rename => [1, 0, 0],
    sparseinit => [1, 1, 0],
    replicate => [0, 0, 0],
    unheard => [0, 0, 0],
);
for my $feature (sort keys %features) {
    my @has = (
        has($feature, 'vm-100-disk-0'), has($feature, 'base-9-disk-0'),
        has($feature, 'vm-100-disk-0', 's1')
    );
    is_deeply \@has, $features{$feature}, "$feature: current, base, snapshot";
}
is $class->volume_has_feature(section(), 'replicate', 'nas1', 'vm-100-disk-0'), undef,
    'no is undef, as PVE has it';

done_testing;
