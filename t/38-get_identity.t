use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start();

my $identity = $class->get_identity($sim->section(), 'nas1');
like $identity, qr/^\S+$/, 'a word';
is $class->get_identity($sim->section(), 'nas2'), $identity,
    'the same for the same dataset, whatever the storage is called';

done_testing;
