use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(run_perl);
use PVE::Storage::TrueNAS::Native;

plan skip_all => 'the library was built without its self-test'
    if !PVE::Storage::TrueNAS::Native->can('selftest');

for my $round (1 .. 3) {
    ok !eval {
        PVE::Storage::TrueNAS::Native::selftest('panic', "broken $round");
        1;
    }, 'a panic is a die';
    like $@,
        qr{^internal error: broken $round \(src/ffi/selftest\.rs:\d+\)\n\z},
        'that names the place';
}
is PVE::Storage::TrueNAS::Native::selftest('echo', 'alive'), 'alive',
    'the process goes on';

ok !eval {
    PVE::Storage::TrueNAS::Native::selftest('error', "first\nsecond");
    1;
}, 'an error is a die';
is $@, "first\nsecond\n", 'whose text ends in a line feed';

my ($status, $output, $said) = run_perl(
    (map { "-I$_" } qw(lib t/lib blib/lib blib/arch)), '-e',
    <<'PERL');
use v5.36;
use PVE::Storage::TrueNAS::Native;
eval { PVE::Storage::TrueNAS::Native::selftest('panic', 'loud') };
print $@;
PERL
is $status, 0, 'no abort';
is $said, '', 'and nothing on stderr: the text is in the error';

done_testing;
