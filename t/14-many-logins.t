use v5.36;

use File::Path qw(make_path);
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(clock_gettime);

use lib 't/lib';
use TestNode qw(node_folder);
use TestSim;
use PVE::Storage;

# A hundred processes at once, none of which finds a connection of another, and a server that counts their logins.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $CLOCK_BOOTTIME = 7;
my $sim = TestSim->start(preload => 1);
my $section = $sim->section(tn_api_user => 'truenas_admin');

# Logins that count for two to five seconds more.
my $now = int(1000 * clock_gettime($CLOCK_BOOTTIME));
my $folder = node_folder() . '/run/pve-storage-truenas/logins';
make_path($folder);
open my $file, '>', "$folder/127.0.0.1" or die "$folder: $!";
print {$file} map { $now - 62_000 + 1000 * $_ . "\n" } 2 .. 5;
close $file or die "$folder: $!";

# What each of them says is one line.
sub start ($code) {
    my $pid = open(my $output, '-|') // die "fork: $!";
    return $output if $pid;
    my $said = eval { $code->() } // $@;
    print $said =~ s/\n/ /gr, "\n";
    close STDOUT;
    POSIX::_exit(0);
}

my @lists = map {
    start(sub { scalar $class->list_images('nas1', $section)->@* . ' listed' })
} 1 .. 100;
my @statuses = map {
    start(sub { ($class->status('nas1', $section, {}))[3] ? 'active' : 'without figures' })
} 1 .. 10;
my @said = map { scalar readline $_ } @lists;
my @active = map { scalar readline $_ } @statuses;

my @served = grep { $_ eq "1 listed\n" } @said;
my @told =
    grep { /this node has used its logins to 127\.0\.0\.1 for this minute; the next is free in \d+ s/ } @said;
is scalar @served, 8, 'eight are served, some of them after they have waited';
is scalar @told, 92, 'all others are told when to come again';
cmp_ok scalar(grep { $_ eq "active\n" } @active), '>=', 5, 'status has five logins of its own';
is scalar(grep { $_ ne "active\n" && !/the next is free in \d+ s/ } @active), 0,
    'who has none repeats the last figures or is told when, too';

open my $traffic, '<', "$sim->{folder}/traffic.jsonl" or die "traffic: $!";
my @messages = map { decode_json($_) } <$traffic>;
my @logins = map { $_->{t} } grep { $_->{dir} eq 'send' && $_->{msg}->{method} =~ /^auth\.login/ } @messages;
is scalar @logins, 13, 'that is what the server saw';
my $most = 0;
for my $first (@logins) {
    my $within = grep { $_ >= $first && $_ < $first + 60 } @logins;
    $most = $within if $within > $most;
}
cmp_ok $most, '<=', 15, 'never more than fifteen in a minute';
is scalar(grep { $_->{msg}->{error} } @messages), 0, 'none of which it refused';

done_testing;
