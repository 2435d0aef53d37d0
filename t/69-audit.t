use v5.36;

use File::Path qw(make_path);
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;

use lib 't/lib';
use TestNode qw(node_folder write_cfg);
use TestSim;
use PVE::Storage;
use PVE::StorageConfig;

# Who did what reaches the journal with the user of PVE's task, whose process is called after it.
my $sim = TestSim->start();
make_path(node_folder() . '/run/systemd/journal');
my $journal =
    IO::Socket::UNIX->new(Local => node_folder() . '/run/systemd/journal/socket', Type => SOCK_DGRAM)
    or die "journal: $!";
$journal->blocking(0);

sub told () {
    my @steps;
    while (defined $journal->recv(my $message, 65536)) {
        push @steps, { map { split /=/, $_, 2 } grep { /=/ } split /\n/, $message };
    }
    return \@steps;
}

write_cfg('');
my $section = $sim->section();
delete $section->{type};
PVE::StorageConfig::add('truenasplugin', 'nas1', %$section);
my ($added) = told()->@*;
is $added->{TRUENAS_OPERATION}, 'add', 'a storage that is added is told';
is $added->{TRUENAS_STORAGE}, 'nas1', 'with its name';

my $upid = 'UPID:pve1:000A2B3C:04D5E6F7:65F00000:qmcreate:100:alice@pve!token:';
my $volid = do {
    local $0 = "task $upid";
    PVE::Storage::vdisk_alloc(PVE::Storage::config(), 'nas1', 100, 'raw', undef, 1024);
};
my ($made) = told()->@*;
is $made->{TRUENAS_OPERATION}, 'allocate', 'a disk that is made';
is $made->{TRUENAS_USER}, 'alice@pve!token', 'by the user of the task';
is $made->{TRUENAS_TASK}, $upid, 'with the task';
is $made->{TRUENAS_BY}, 'qmcreate 100', 'and what that was for';
is "nas1:$made->{TRUENAS_MADE}", $volid, 'with its name';
is $made->{TRUENAS_BYTES}, 1_048_576, 'and its size';
is $made->{TRUENAS_RESULT}, 'done', 'as done';

eval { PVE::Storage::volume_resize(PVE::Storage::config(), $volid, 1024) };
my ($failed) = told()->@*;
is $failed->{TRUENAS_RESULT}, 'failed', 'what was refused is told too';
like $failed->{TRUENAS_ERROR}, qr/smaller|shrink/, 'with the reason';
unlike $failed->{TRUENAS_USER}, qr/alice/, 'by whoever did that';

PVE::StorageConfig::set('nas1', [], tn_prefer_ipv4 => 0);
my ($changed) = told()->@*;
is $changed->{TRUENAS_OPERATION}, 'update', 'a change of the storage';
like $changed->{TRUENAS_OBJECT}, qr/tn_prefer_ipv4/, 'with what was changed';

PVE::Storage::vdisk_free(PVE::Storage::config(), $volid);
my @freed = told()->@*;
is_deeply [map { $_->{TRUENAS_OPERATION} } @freed], [qw(free remove)], 'both halves of a removal';

my $key = $sim->key();
ok !grep({ join(' ', %$_) =~ /\Q$key\E/ } $added, $made, $failed, $changed, @freed),
    'the key is in none of them';

done_testing();
