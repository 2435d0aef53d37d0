use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section);
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start();
my $nobody = '127.0.0.1:1';

my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };

my $cfg = $sim->configure('nas1');
ok eval { PVE::Storage::activate_storage($cfg, 'nas1'); 1 }, 'a storage is activated' or diag $@;
is_deeply [$sim->luns()], [{}], 'and nothing is made on the NAS';
my @first = $sim->calls();
PVE::Storage::activate_storage($cfg, 'nas1') for 1 .. 10;
is_deeply [$sim->calls()], [], 'ten times more in the same breath ask nothing';

is scalar(grep { /api_key stands in storage\.cfg/ } @warnings), 1,
    'a readable key is warned of once per process';

ok !eval {
    $class->activate_storage('gone', $sim->section(api_port => 1, discovery_portal => $nobody), {});
    1;
},
    'a NAS of which nothing answers is an error';
like $@, qr/^activate on storage 'gone': /, 'that names the storage';

ok !eval { $class->activate_storage('empty', section(api_host => undef), {}); 1 },
    'what is needed is judged now';
like $@, qr/api_host is missing/, 'by name';

done_testing;
