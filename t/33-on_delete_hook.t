use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(etc_folder read_cfg);
use TestSim;
use PVE::StorageConfig;

my $sim = TestSim->start();
my $secrets = etc_folder() . '/priv/storage/nas1.truenas';

my $section = $sim->section();
delete $section->@{qw(type shared)};
PVE::StorageConfig::add('truenasplugin', 'nas1', %$section);
ok -e $secrets, 'a storage has a secret file';

$sim->stop();
ok eval { PVE::StorageConfig::remove('nas1'); 1 }, 'it can be removed while the NAS is away' or diag $@;
unlike read_cfg(), qr/nas1/, 'its section is gone';
ok !-e $secrets, 'and so are its secrets';

done_testing;
