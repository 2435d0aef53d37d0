use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start();
my $nobody = '127.0.0.1:1';

ok $class->check_connection('nas1', $sim->section()), 'true while the API answers';
ok $class->check_connection('nas2', $sim->section(discovery_portal => $nobody)), 'without a portal too';
my $portal = "127.0.0.1:$sim->{port}";
ok $class->check_connection('nas3', $sim->section(api_port => 1, discovery_portal => $portal)),
    'true while a portal answers: guests must start when only the API is away';
ok !eval { $class->check_connection('nas4', $sim->section(api_port => 1, discovery_portal => $nobody)) },
    'not true when neither does';

done_testing;
