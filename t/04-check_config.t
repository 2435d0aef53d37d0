use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section write_cfg read_cfg);
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

is_deeply $class->check_config('nas1', {}, 1, 1),
    { type => 'truenasplugin', shared => 1 },
    'an empty section is legal, and shared';
is $class->check_config('nas1', { shared => 0 }, 1, 1)->{shared}, 1,
    'shared cannot be switched off';
is_deeply $class->check_config('nas1', { debug => '2' }, 0, 1),
    { type => 'truenasplugin', debug => 2, shared => 1 },
    'a change of one key needs no other';
is_deeply $class->check_config(
    'nas1',
    { api_key => 'k', dataset => 'tank/p' }, 0, 1
    ),
    { type => 'truenasplugin', api_key => 'k', dataset => 'tank/p', shared => 1 },
    'no key is fixed';

my @nonsense = (
    { api_host => 'a b c' },
    { dataset => '//' },
    { transport_mode => 'fc' },
    { api_retry_max => 99 },
    { subsystem_nqn => 'x' },
    { api_port => 99_999_999 },
    { tn_overcommit => 0.1 },
);

for my $config (@nonsense) {
    my ($key) = keys %$config;
    is eval { $class->check_config('nas1', $config, 1, 1)->{$key} },
        $config->{$key}, "a bad $key is kept as it is";
}

# What a file may hold that another version wrote.
write_cfg(<<'CFG');
dir: local
	path /var/lib/vz

truenasplugin: nas1
	api_host 10.0.0.1
	content images,none
	debug 1
	tn_volume_names neither
	ipv6_by_path
	no_such_key 7

CFG
my @warnings;
my $cfg = do {
    local $SIG{__WARN__} = sub { push @warnings, @_ };
    PVE::Storage::config();
};
my $scfg = $cfg->{ids}->{nas1};
is $scfg->{api_host}, '10.0.0.1',
    'a section with lines that make no sense is read';
is $scfg->{debug}, 1, 'its other lines count';
is $scfg->{ipv6_by_path}, 1, 'a dead key is accepted';
is ref $scfg->{content}, 'HASH',
    'content is what PVE expects, whatever stood there';
is scalar(grep { /content is ignored.*'none'/ } @warnings), 1,
    'what is ignored is said';
ok eval { PVE::Storage::write_config($cfg); 1 }, 'storage.cfg can be written';
like read_cfg(), qr/^truenasplugin: nas1\n(?:\t.*\n)*\tapi_host 10\.0\.0\.1\n/m,
    'and keeps the section';

done_testing;
