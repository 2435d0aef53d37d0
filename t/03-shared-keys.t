use v5.36;

use File::Path qw(make_path);
use Test::More;

use lib 't/lib';
use TestNode qw(node_folder run_perl);

# Another custom plugin that defines keys which are ours too.
sub foreign_plugin ($name, $properties, $more = '') {
    my $folder = node_folder() . "/$name";
    make_path("$folder/PVE/Storage/Custom");
    open my $file, '>', "$folder/PVE/Storage/Custom/$name.pm"
        or die "$name: $!";
    print {$file} <<"PERL";
package PVE::Storage::Custom::$name;
use v5.36;
use base qw(PVE::Storage::Plugin);
sub type { '\L$name\E' }
sub api { PVE::Storage::APIVER() }
sub plugindata { { content => [{ images => 1 }, { images => 1 }] } }
sub properties { $properties }
sub options { my %o = map { \$_ => { optional => 1 } } qw(nodes debug); \\%o }
$more
1;
PERL
    close $file or die "$name: $!";
    return $folder;
}

my $report = <<'PERL';
use v5.36;
use PVE::Storage;
my $private = PVE::Storage::Plugin->private();
print "debug: $private->{propertyList}->{debug}->{description}\n";
print "option\n" if $private->{options}->{truenasplugin}->{debug};
my $cfg = PVE::Storage::Plugin->parse_config('cfg', "truenasplugin: nas1\n\tdebug 2\n\tapi_host x\n");
print "value: $cfg->{ids}->{nas1}->{debug} $cfg->{ids}->{nas1}->{api_host}\n";
PERL

my @include = map { "-I$_" } qw(lib t/lib blib/lib blib/arch);
my $defines = "{ debug => { type => 'integer', description => 'theirs' } }";

for my $name (qw(AForeign ZForeign)) {
    my $folder = foreign_plugin($name, $defines);
    for my $order (qw(sorted reverse)) {
        local $ENV{PVE_STANDIN_ORDER} = $order;
        my ($status, $output, $said) = run_perl('-T', "-I$folder", @include, '-e', $report);
        is $said, '', "$name, $order: PVE loads";
        is $output, "debug: theirs\noption\nvalue: 2 x\n",
            "$name, $order: the key is theirs and still ours to use";
    }
}

my $polite = <<'PERL';
my $asking = 0;
sub properties ($class) {
    my %own = (debug => { type => 'integer', description => 'theirs' });
    return \%own if $asking;
    state $decided;
    $asking = 1;
    for my $other (grep { $_ ne $class } values $class->private()->{plugins}->%*) {
        $decided //= $other->properties()->{debug} ? {} : undef if $other->type() eq 'truenasplugin';
    }
    $asking = 0;
    $decided //= \%own;
    return $decided;
}
PERL
my $folder = foreign_plugin('Polite', '{}', "no warnings 'redefine';\n$polite");
for my $order (qw(sorted reverse)) {
    local $ENV{PVE_STANDIN_ORDER} = $order;
    my ($status, $output, $said) = run_perl('-T', "-I$folder", @include, '-e', $report);
    is $said, '', "two plugins that ask each other, $order: PVE loads";
    like $output, qr/^debug: .+\noption\nvalue: 2 x\n$/,
        "$order: exactly one of them defines the key";
}

# A host that keeps the properties of plugins apart: none is shared, so all are ours.
my $isolated = <<'PERL';
use v5.36;
use PVE::Storage;
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
$class->private()->{propertyIsolation} = 1;
print $class->properties()->{debug} ? "ours\n" : "theirs\n";
PERL
my ($status, $output) = run_perl(
    '-T', '-I' . foreign_plugin('AForeign', $defines),
    @include, '-e', $isolated
);
is $output, "ours\n",
    'where properties are isolated, a foreign definition does not count';

done_testing;
