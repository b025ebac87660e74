# Submits a background job with Gearman::Client and prints what the server says of it, each time that
# this changes, until the job is unknown.
#
#	perl background.pl HOST:PORT FUNCTION PAYLOAD
use strict;
use warnings;
use Gearman::Client;

$| = 1;
my ($server, $function, $payload) = @ARGV;
my $client = Gearman::Client->new(job_servers => [$server], command_timeout => 120);
my $handle = $client->dispatch_background($function, $payload, { uniq => "behind" });
my $before = "";
while ($before ne "unknown") {
    my $status = $client->get_status($handle);
    my $now = !$status->known ? "unknown" : $status->running ? "running" : "queued";
    print "$now\n" if $now ne $before;
    $before = $now;
}
