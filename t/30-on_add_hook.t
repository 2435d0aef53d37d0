use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(etc_folder write_cfg read_cfg run_perl);
use TestSim;
use PVE::StorageConfig;

my $sim = TestSim->start();
my $secrets = etc_folder() . '/priv/storage/nas1.truenas';

sub keys_for (%given) {
    my $section = $sim->section(%given);
    delete $section->@{qw(type shared)};
    return %$section;
}

sub stored ($path) {
    open my $file, '<', $path or return '';
    return join '', <$file>;
}

sub refused ($pattern, $what, %given) {
    write_cfg('');
    ok !eval { PVE::StorageConfig::add('truenasplugin', 'nas1', keys_for(%given)); 1 }, "$what: not added";
    like $@, $pattern, 'for this reason';
    is read_cfg(), '', 'storage.cfg is as before';
    ok !-e $secrets, 'and no secret was stored';
    return;
}

refused(qr/api_host/, 'no host', api_host => undef);
refused(qr/API key/, 'no key', api_key => undef);
refused(qr/dataset/, 'no dataset', dataset => undef);
refused(qr/target_iqn/, 'a target that is no IQN', target_iqn => 'proxmox');
refused(qr/tank\/nothing/, 'a dataset that is not there', dataset => 'tank/nothing');
refused(
    qr/iqn\.2005-10\.org\.freenas\.ctl:other/, 'a target that is not there',
    target_iqn => 'iqn.2005-10.org.freenas.ctl:other'
);
refused(qr/key/i, 'a wrong key', api_key => '1-' . 'WrongKey' x 8);
refused(qr/\Q$sim->{fingerprint}\E/, 'another certificate', tn_tls_fingerprint => 'sha256:' . '0' x 64);

write_cfg('');
ok eval { PVE::StorageConfig::add('truenasplugin', 'nas1', keys_for()); 1 }, 'a storage that works is added'
    or diag $@;
my $cfg = read_cfg();
like $cfg, qr/^truenasplugin: nas1$/m, 'its section is written';
like $cfg, qr/^\tshared 1$/m, 'shared';
unlike $cfg, qr/api_key/, 'without the key';
like stored($secrets), qr/"api_key":"\Q@{[$sim->key()]}\E"/, 'which is in the secret file';
is sprintf('%o', (stat $secrets)[2] & oct 7777), '600', 'that only root can read';

ok !eval { PVE::StorageConfig::add('truenasplugin', 'nas2', keys_for()); 1 },
    'a second storage on the same dataset';
like $@, qr/'nas1' already uses dataset 'tank\/proxmox'/, 'is refused by the name of the first';

# PVE 8.0 to 8.3 know nothing of sensitive properties.
write_cfg('');
{
    local @ENV{qw(PVE_STANDIN_APIVER PVE_STANDIN_APIAGE)} = (10, 1);
    my %given = keys_for();
    my $arguments = join ', ', map { "'$_', '$given{$_}'" } sort keys %given;
    my ($status, $output, $said) = run_perl(
        '-T', (map { "-I$_" } qw(lib t/lib blib/lib blib/arch)),
        '-e', "use PVE::StorageConfig; PVE::StorageConfig::add('truenasplugin', 'nas1', $arguments)",
    );
    is $status, 0, 'PVE 8.0: the storage is added' or diag $said;
    like read_cfg(), qr/^truenasplugin: nas1$/m, 'its section is written';
    unlike read_cfg(), qr/api_key/, 'without the key there too';
}

done_testing;
