#!/usr/bin/perl

# Makes an empty module for each of Proxmox's that those in FOLDER/PVE use and that is not there: with-pve-stubs.pl FOLDER. What
# one of them would do ends the test that wants it.

use v5.36;

use File::Basename qw(dirname);
use File::Find qw(find);
use File::Path qw(make_path);

my ($folder) = @ARGV;

my $text = <<'STUB';
package NAME;

use v5.36;

our $AUTOLOAD;

sub new ($class, @) { return bless {}, $class }
sub DESTROY { }
sub AUTOLOAD { die "$AUTOLOAD is not there\n" }

sub import ($class, @names) {
    my $into = caller;
    for my $name (grep { /^\w+$/ } @names) {
        no strict 'refs';
        *{"${into}::$name"} = sub { die "${class}::$name is not there\n" };
    }
    return;
}

1;
STUB

my %used;
my $look = sub {
    return if !/\.pm$/;
    open my $file, '<', $_ or die "$_: $!\n";
    while (my $line = <$file>) {
        next if $line !~ /^\s*(?:use|require)\b/;
        $used{$_} = 1 for $line =~ /\b((?:PVE|Proxmox)(?:::\w+)+)/g;
    }
};
find({ wanted => $look, no_chdir => 1 }, "$folder/PVE");

for my $name (sort keys %used) {
    my $path = "$folder/" . $name =~ s{::}{/}gr . '.pm';
    next if -e $path;
    make_path(dirname($path));
    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $text =~ s/NAME/$name/r;
    close $file or die "$path: $!\n";
}
