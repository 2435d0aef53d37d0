use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(pool => 'tank:1T');

my ($total, $available, $used, $active) = $class->status('nas1', $sim->section(), {});
cmp_ok $total, '>', 900 * 2**30, 'bytes in all';
is $total, $available + $used, 'what is free and what is used make the whole';
is $active, 1, 'active';
is_deeply [$sim->calls()], ['zfs.resource.query'], 'one call';

my %wrong = (
    'a wrong key' => [qr/key/i, api_key => '1-' . 'WrongKey' x 8],
    'no such dataset' => [qr/tank\/nothing/, dataset => 'tank/nothing'],
    'another certificate' => [qr/\Q$sim->{fingerprint}\E/, tn_tls_fingerprint => 'sha256:' . '0' x 64],
    'a key over plain text' => [qr/insecure transport/, api_scheme => 'ws', api_host => '192.0.2.1'],
    'nobody there' => [qr/127\.0\.0\.1/, api_port => 1],
);
my $number = 0;
for my $what (sort keys %wrong) {
    my ($pattern, %given) = $wrong{$what}->@*;
    my $storeid = 'wrong' . $number++;
    ok !eval { $class->status($storeid, $sim->section(%given), {}); 1 }, "$what: no figures";
    like $@, $pattern, 'but the reason';
    like $@, qr/'$storeid'/, 'and the storage';
    like $@, qr/\n\z/, 'in whole lines';
}

done_testing;
