use v5.36;

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

use lib 't/lib';
use TestFakeNode;
use TestNode qw(node_folder untaint);
use TestSim;
use PVE::Storage;
use PVE::Storage::TrueNAS::Schema;

# What a shell would do with a value of storage.cfg: every key that is a text gets each of them, and then a volume lives.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $folder = untaint(tempdir(CLEANUP => 1));
my $proof = "$folder/proof";

make_path(node_folder() . '/var/lib/iscsi/nodes');
my $sim = TestSim->start('limiter-window' => 1);
my $node = TestFakeNode->start($sim);

my %sound = (
    dataset => 'tank/proxmox',
    target_iqn => 'iqn.2005-10.org.freenas.ctl:proxmox',
    discovery_portal => '127.0.0.1:3260',
    api_host => '127.0.0.1',
);

sub tricks ($sound) {
    return (
        "\$(touch $proof)", "`touch $proof`", "$sound;touch $proof", "$sound|touch $proof",
        "$sound&& touch $proof", "$sound\ntouch $proof", "$sound'\"", "-$sound",
        "-o\$IFS$proof",
    );
}

# What came of it: the errors, or nothing. Logins of earlier lives do not count.
sub life ($section) {
    unlink map { untaint($_) } glob node_folder() . '/run/pve-storage-truenas/logins/*';
    my $volname;
    my @errors;
    my $try = sub ($code) {
        eval { $code->(); 1 } or push @errors, $@;
        return;
    };
    $try->(sub { $class->status('nas1', $section, {}) });
    $try->(sub { $volname = $class->alloc_image('nas1', $section, 100, 'raw', undef, 1024) });
    return @errors if !defined $volname;
    $try->(sub { $class->activate_volume('nas1', $section, $volname, undef, {}) });
    $try->(sub { $class->deactivate_volume('nas1', $section, $volname, undef, {}) });
    $try->(sub { my $finish = $class->free_image('nas1', $section, $volname, 0); $finish->() if $finish });
    return @errors;
}

is_deeply [life($sim->section(%sound))], [], 'the life is one that works';
cmp_ok scalar $node->started(), '>', 0, 'and starts programs';

my $properties = PVE::Storage::TrueNAS::Schema::properties();
my @texts = grep { ($properties->{$_}{type} // '') eq 'string' } sort keys %$properties;
cmp_ok scalar @texts, '>', 20, 'keys that are texts';

my %harmless;
for my $key (@texts) {
    my $bare = $key =~ s/^tn_//r;
    my @wrong;
    for my $value (tricks($sound{$bare} // 'x')) {
        my @errors = life($sim->section(%sound, $key => $value));
        $harmless{$key}++ if !@errors;
        my $names = grep { /\Q$bare\E/ || /\Q$value\E/ || /API key|user/ } @errors;
        push @wrong, "'$value': @errors" if @errors && !$names;
        push @wrong, "'$value' was done" if -e $proof;

        # A program gets the value whole or not at all.
        my @split = grep { /\btouch\b/ && !/\Q$value\E/ } $node->started();
        push @wrong, "'$value' was divided: @split" if @split;
    }
    is_deeply \@wrong, [], "$key: refused by name, or harmless";
}
ok !-e $proof, 'no shell was reached';
ok !$harmless{$_}, "$_ is refused always" for qw(target_iqn dataset discovery_portal);

# The same values as arguments of PVE.
for my $value (tricks('vm-100-disk-0')) {
    my $section = $sim->section(%sound);
    for my $call (
        sub { $class->alloc_image('nas1', $section, 100, 'raw', $value, 1024) },
        sub { $class->activate_volume('nas1', $section, $value, undef, {}) },
        sub { $class->path($section, $value, 'nas1', undef) },
        sub { $class->volume_snapshot($section, 'nas1', 'vm-100-disk-0', $value) },
        sub { $class->free_image('nas1', $section, $value, 0) },
        )
    {
        ok !eval { $call->(); 1 }, 'a name of that kind is refused';
    }
}
ok !-e $proof, 'and no shell was reached';

# The test would notice.
system '/bin/sh', '-c', "echo \$(touch $proof)";
ok -e $proof, 'a shell would have left its proof';

done_testing;
