use v5.36;

# Two mistakes that valgrind has to notice: a read of what was given back, and memory that the library forgets.

use Perl::Destruct::Level level => 2;

use PVE::Storage::TrueNAS::Native;

no warnings 'pack';
my $gone = pack 'P', 'x' x 10_000 . $$;
my $read = unpack 'P8', $gone;
PVE::Storage::TrueNAS::Native::selftest('forget', 'y' x 10_000);
print "{}\n";
