use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section);
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
ok $class->deactivate_storage('nas1', section(api_port => 1), {}), 'nothing to do, and no NAS needed';

done_testing;
