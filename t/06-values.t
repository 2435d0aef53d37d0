use v5.36;

use B ();
use Test::More;

use lib 't/lib';
use TestNode;
use PVE::Storage::TrueNAS::Native;

my $native = 'PVE::Storage::TrueNAS::Native';
plan skip_all => 'the library was built without its self-test'
    if !$native->can('selftest');

sub echo ($text) {
    return PVE::Storage::TrueNAS::Native::selftest('echo', $text);
}

is echo('vm-100-disk-0'), 'vm-100-disk-0', 'plain text comes back';
is echo(''), '', 'empty text is not absent';
is echo("sn\x{e4}p"), "sn\x{e4}p",
    'latin letters come back as they were, not as their bytes';
is echo("\x{263a} \x{1f4be}"), "\x{263a} \x{1f4be}", 'so do others';
is echo("a\0b"), "a\0b", 'and a zero byte';
is echo(528), '528', 'a number goes over as its text';
is echo(18_446_744_073_709_551_615), '18446744073709551615', 'the largest too';

my $number = 42;
echo($number);
is B::svref_2object(\$number)->FLAGS & B::SVf_POK(), 0,
    'reading a number as text leaves the variable a number';

ok !eval { echo("\x{d800}"); 1 }, 'what UTF-8 cannot hold is refused';
like $@, qr/not utf-8\n\z/i, 'by a clear error';

{

    package Overloaded;
    use overload '""' => sub ($self, @) { $self->{dies} ? die "no text\n" : 'text of an object' };
}
is echo(bless {}, 'Overloaded'), 'text of an object',
    'an object gives its text';
ok !eval { echo(bless { dies => 1 }, 'Overloaded'); 1 },
    'a die while reading an argument';
is $@, "no text\n", 'arrives unchanged';

ok !eval {
    PVE::Storage::TrueNAS::Native::path(undef, 'vm-100-disk-0', undef);
    1;
}, 'undef where text is needed';
like $@, qr/^path: argument 1 must be defined at \Q$0\E line \d+\.$/,
    'is the caller\'s mistake, with its line';
ok !eval { PVE::Storage::TrueNAS::Native::status('nas1', []); 1 },
    'an array where a section is needed';
like $@, qr/^status: argument 2 must be a hash reference at/, 'too';
ok !eval { PVE::Storage::TrueNAS::Native::path(1 .. 9); 1 },
    'and too many arguments';
like $@, qr/^path: 9 arguments, but it takes 3 at/, 'are counted';

{
    my @warnings;
    local $SIG{__WARN__} = sub { push @warnings, @_ };
    PVE::Storage::TrueNAS::Native::selftest('warn', "caf\x{e9} is closed");
    is_deeply \@warnings, ["caf\x{e9} is closed\n"],
        'a warning is printed after the call';
}

my ($path, $owner) = PVE::Storage::TrueNAS::Native::path('nas1', 'vm-100-disk-0');
is "$path $owner", '/dev/truenas/nas1/vm-100-disk-0 100',
    'an argument at the end may be missing';

done_testing;
