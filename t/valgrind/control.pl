use v5.36;

# What seam.pl does without the module: the same modules of perl, errors, signals and values.

use B ();
use JSON::PP qw(decode_json encode_json);
use Time::HiRes ();

use Perl::Destruct::Level level => 2;

my ($file, $rounds) = @ARGV;
open my $in, '<', $file or die "$file: $!";
my $section = decode_json(do { local $/ = undef; <$in> });
close $in;

{

    package Dying;
    use overload '""' => sub ($self, @) { die "no text\n" };
}
{

    package Tied;
    sub TIESCALAR ($class) { return bless {}, $class }
    sub FETCH ($self) { return 'vm-100-disk-' . 7 }
}

my @values = (undef, 'x', "\x{d800}", [], {}, \1, sub { }, qr/x/, bless({}, 'Dying'), 'y' x 100_000);
for (1 .. $rounds) {
    tie my $tied, 'Tied';
    local $SIG{__WARN__} = sub { };
    eval { my $text = "$_$tied"; die $text } for @values;
    local $SIG{USR1} = sub { die 'stop ' x 100 };
    eval { kill USR1 => $$; Time::HiRes::sleep(1) };
    local $SIG{ALRM} = sub { die "got timeout\n" };
    eval { Time::HiRes::alarm(0.05); Time::HiRes::sleep(5) };
}
print encode_json({ keys => scalar keys %$section }), "\n";
