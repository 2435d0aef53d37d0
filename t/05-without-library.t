use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(write_cfg read_cfg run_perl);

my $cfg = <<'CFG';
truenasplugin: nas1
	api_host 10.0.0.1
	api_key 1-secret
	content images
	dataset tank/proxmox
	shared 1

CFG
write_cfg($cfg);

# No blib/arch, nor an installed package: as after an upgrade of perl that removed the native one.
my @include = map { "-I$_" } qw(t/lib lib);
push @include, '-MConfig', '-e', 'BEGIN { @INC = grep { $_ ne $Config{vendorarch} } @INC }';

my ($status, $output, $said) = run_perl('-T', @include, '-e', <<'PERL');
use v5.36;
use PVE::Storage;
my $cfg = PVE::Storage::config();
print "host $cfg->{ids}->{nas1}->{api_host}\n";
$cfg->{ids}->{nas1}->{debug} = 1;
PVE::Storage::write_config($cfg);
for my $method (qw(status path alloc_image parse_volname get_identity)) {
    eval { PVE::Storage::Custom::TrueNASPlugin->$method('nas1', {}, 'vm-100-disk-0', 'raw', undef, 1) };
    print $@;
}
PERL
is $status, 0, 'PVE goes on';
is $said, '', 'without a word while loading';
like $output, qr/^host 10\.0\.0\.1$/m, 'the section is read';
my $written = $cfg =~ s/(\tdataset.*\n)/$1\tdebug 1\n/r;
like read_cfg(), qr/\A\Q$written\E/, 'and survives a write';
my @reasons = grep { /^truenasplugin: \w+: the native library cannot be loaded: Can't locate/ } split /\n/,
    $output;
is @reasons, 5, 'a method dies with the reason' or diag $output;

($status, $output, $said) = run_perl('-T', @include, '-e', <<'PERL');
use v5.36;
use PVE::Storage;
my $info = PVE::Storage::storage_info(PVE::Storage::config());
print "active $info->{nas1}->{active}\n";
PERL
is $output, "active 0\n", 'the storage is inactive, nothing worse';

done_testing;
