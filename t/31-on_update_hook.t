use v5.36;

use File::Path qw(make_path);
use Test::More;

use lib 't/lib';
use TestNode qw(etc_folder node_folder write_cfg read_cfg run_perl);
use TestSim;
use PVE::StorageConfig;

my $sim = TestSim->start();
my $good = $sim->key();
my $wrong = '1-' . 'WrongKey' x 8;
my $secrets = etc_folder() . '/priv/storage/nas1.truenas';

sub stored_key () {
    open my $file, '<', $secrets or return 'none';
    my ($key) = join('', <$file>) =~ /"api_key":"([^"]*)"/;
    return $key // 'none';
}

sub store ($json) {
    open my $file, '>', $secrets or die "$secrets: $!";
    print {$file} $json;
    close $file or die "$secrets: $!";
    return;
}

# The same change on a PVE with this storage API; returns what was said.
sub set_on ($api, $age, @arguments) {
    local @ENV{qw(PVE_STANDIN_APIVER PVE_STANDIN_APIAGE)} = ($api, $age);
    my @include = map { "-I$_" } qw(lib t/lib blib/lib blib/arch);
    my $code = 'use PVE::StorageConfig; my ($d, @p) = map { /(.*)/s } @ARGV;'
        . 'PVE::StorageConfig::set("nas1", [split /,/, $d], @p)';
    my ($status, $output, $said) = run_perl('-T', @include, '-e', $code, @arguments);
    return $said;
}

my %hooks = (
    'on_update_hook, PVE 8.0' => [10, 1],
    'on_update_hook, PVE 8.4' => [11, 2],
    'on_update_hook_full, PVE 9.2' => [15, 6],
);
for my $hook (sort keys %hooks) {
    my @api = $hooks{$hook}->@*;

    unlink $secrets;
    $sim->configure('nas1', api_key => undef);
    store(qq({"api_key":"$wrong"}));
    is set_on(@api, '', 'debug', 2), '', "$hook: one key can be changed";
    like read_cfg(), qr/^\tdebug 2$/m, 'and is written';

    is set_on(@api, '', 'api_key', $good), '', "$hook: a new key that works";
    is stored_key(), $good, 'is stored';
    unlike read_cfg(), qr/api_key/, 'not in storage.cfg';

    like set_on(@api, '', 'api_key', $wrong), qr/key/i, "$hook: a new key that does not work is refused";
    is stored_key(), $good, 'and the old one stays';

    like set_on(@api, '', 'api_host', '127.0.0.2'), qr/./, "$hook: so is an address where nobody answers";
    unlike read_cfg(), qr/127\.0\.0\.2/, 'and nothing is written';

    $sim->configure('nas1', api_key => $wrong);
    is set_on(@api, '', 'api_key', $good), '', "$hook: a key that stands in storage.cfg";
    like read_cfg(), qr/^\tapi_key \Q$good\E$/m, 'stays there, with its new value: other nodes may need it';

    is set_on(@api, 'debug'), '', "$hook: a key can be deleted";
    unlike read_cfg(), qr/debug/, 'and is gone';
}

# What it says of an event does not need systemd to run.
my $bin = node_folder() . '/usr/bin';
make_path($bin);
symlink '/usr/bin/systemd-analyze', "$bin/systemd-analyze" or die "$bin: $!";
unlink $secrets;
$sim->configure('nas1', api_key => undef);
store(qq({"api_key":"$good"}));
my %rules = (
    tn_snapshot_keep => ['fortnightly=2', qr/tn_snapshot_keep: 'fortnightly' is no rule of retention/],
    snapshot_cleanup_schedule => ['now and then', qr/snapshot_cleanup_schedule: .*'now and then'/],
);
for my $key (sort keys %rules) {
    my ($value, $words) = $rules{$key}->@*;
    like set_on(15, 6, '', $key, $value), $words, "$key '$value' is refused";
    unlike read_cfg(), qr/\Q$key\E/, 'and not written';
}
is set_on(15, 6, '', 'tn_snapshot_keep', 'daily=7,weekly=4', 'snapshot_cleanup_schedule', 'Sun 03:00'), '',
    'rules that are understood are taken';

like set_on(15, 6, '', 'chap_user', 'pve', 'chap_password', "two\nlines of text"),
    qr/chap_password: the password has a line end/,
    'a secret that would make the storage useless is refused';
unlike read_cfg(), qr/chap_user/, 'and nothing is written';
is stored_key(), $good, 'nor stored';

done_testing;
