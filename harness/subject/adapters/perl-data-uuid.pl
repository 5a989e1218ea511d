# Prints a time UUID of Data::UUID every 2 ms.
use strict;
use warnings;
use Data::UUID;

$| = 1;
my $generator = Data::UUID->new;
for (;;) {
	print lc $generator->create_str, "\n";
	select undef, undef, undef, 0.002;
}
