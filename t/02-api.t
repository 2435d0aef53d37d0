use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(run_perl);

my @include = map { "-I$_" } qw(lib t/lib blib/lib blib/arch);

sub on_host ($version, $age, $code) {
    local @ENV{qw(PVE_STANDIN_APIVER PVE_STANDIN_APIAGE)} = ($version, $age);
    return run_perl(
        '-T', @include, '-e',
        "use v5.36; use PVE::Storage; $code"
    );
}

my $ask = 'print PVE::Storage::Custom::TrueNASPlugin->api();';
my %releases = (
    '8.0 to 8.3' => [10, 1],
    '8.4' => [11, 2],
    '9.0' => [12, 3],
    '9.1' => [13, 4],
    '9.2 at release' => [14, 5],
    '9.2 updated' => [15, 6],
);
for my $release (sort keys %releases) {
    my ($version, $age) = $releases{$release}->@*;
    my ($status, $output, $said) = on_host($version, $age, $ask);
    is_deeply [$status, $output, $said], [0, $version, ''],
        "PVE $release: claims $version, nothing to complain of";
}

my ($status, $output, $said) = on_host(17, 8, $ask);
is $output, 15, 'a newer host that still takes 15 gets 15';
like $said, qr/older storage API/, 'and says so';

($status, $output, $said) = on_host(20, 3, $ask);
is $output, 17,
    'a host that takes only newer ones gets its oldest: the sections stay';

my $call = 'eval { PVE::Storage::Custom::TrueNASPlugin->status("nas1", {}) }; print $@';
($status, $output) = on_host(20, 3, $call);
like $output,
    qr/^truenasplugin: status: this PVE needs storage API 17 or newer, .* upgrade/,
    'but no method runs there';

done_testing;
