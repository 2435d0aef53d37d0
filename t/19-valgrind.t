use v5.36;

use JSON::PP qw(decode_json encode_json);
use Test::More;

use lib 't/lib';
use TestFakeNode;
use TestNode qw(node_folder untaint);
use TestSim;
use PVE::Storage;

# Every function of the XS module and the library behind it, in a perl that runs under valgrind. Plain ws: of TLS, ring's assembly
# is beyond valgrind 3.19, which takes the tags of AES-GCM for uninitialised.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $rounds = $ENV{TRUENAS_TEST_FULL} ? 5 : 1;
my $sim = TestSim->start(plain => '');
my $node = TestFakeNode->start($sim);
my $section = $sim->section(api_scheme => 'ws', api_port => untaint($sim->{plain}));
delete $section->{tn_tls_fingerprint};
my $file = node_folder() . '/section.json';
open my $out, '>', $file or die "$file: $!";
print {$out} encode_json($section);
close $out or die "$file: $!";

# The node has a session from then on: valgrind 3.19 has no pidfd_open, so that no program can be waited for under it.
my $first = $class->alloc_image('nas1', $section, 999, 'raw', undef, 1024);
$class->activate_volume('nas1', $section, $first, undef, {});

sub number ($text, $pattern) {
    my ($found) = $text =~ $pattern or return;
    return $found =~ s/,//gr;
}

# What a script said, what valgrind counted, and all of its report.
sub under_valgrind ($script) {
    my $log = node_folder() . "/$script.log";
    my @valgrind = (
        qw(valgrind --leak-check=full --show-leak-kinds=definite --num-callers=20), "--log-file=$log",
        "--suppressions=t/valgrind/loader.supp"
    );
    my @perl = (untaint($^X), '-Mblib', "t/valgrind/$script.pl", $file, $rounds);
    open my $output, '-|', @valgrind, @perl or die "valgrind: $!";
    my $said = join '', <$output>;
    close $output;
    open my $in, '<', $log or die "$log: $!";
    my $report = join '', <$in>;

    # Where nothing is lost there is one line less.
    my $lost = number($report, qr/definitely lost: [\d,]+ bytes in ([\d,]+) blocks/)
        // ($report =~ /All heap blocks were freed/ ? 0 : undef);
    my $errors = () = $report =~ /(?:Invalid (?:read|write|free)|uninitialised|Mismatched free)/g;
    return { said => $said, lost => $lost, errors => $errors, report => $report };
}

my $broken = under_valgrind('broken');
cmp_ok $broken->{errors}, '>=', 1, 'a read of what was given back is noticed';
cmp_ok $broken->{lost}, '>=', 1, 'memory that was forgotten too';

my $control = under_valgrind('control');
is $control->{errors}, 0, 'perl without the module reads and writes nothing wrong';
ok defined $control->{lost}, "and loses $control->{lost} blocks";

my $seam = under_valgrind('seam');
my $told = eval { decode_json($seam->{said}) } // { failed => ["it said: $seam->{said}"] };
is_deeply $told->{failed}, [], 'every call does what it should';
is_deeply $told->{untouched}, [qw(volume_export volume_import_data)],
    'every function has succeeded but those that want content on a disk, which are only refused';
note "$told->{calls} calls of $told->{functions} functions";
is $seam->{errors}, 0, 'no invalid read or write, nothing uninitialised is used';
cmp_ok $seam->{lost}, '<=', $control->{lost}, 'no block is lost that perl without the module does not lose';
diag $seam->{report} if $seam->{errors} || $seam->{lost} > $control->{lost};

done_testing;
