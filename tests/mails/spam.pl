# Arguments: *.eml files. One line a hit: file, rule, score, description. SpamAssassin asks no network and learns nothing.
use strict;
use warnings;
use Mail::SpamAssassin;

my $judge = Mail::SpamAssassin->new({
    local_tests_only => 1, dont_copy_prefs => 1, userprefs_filename => '/dev/null', userstate_dir => $ENV{TMPDIR},
    post_config_text => "use_bayes 0\nuse_auto_whitelist 0\n",
});
for my $file (@ARGV) {
    open my $handle, '<:raw', $file or die "$file: $!";
    my $mail = $judge->parse([<$handle>]);
    my $status = $judge->check($mail);
    for my $rule (split /,/, $status->get_names_of_tests_hit()) {
        my $score = $judge->{conf}->{scores}->{$rule} // 1;
        print join("\t", $file, $rule, $score, $judge->{conf}->get_description_for_rule($rule) // ''), "\n";
    }
    $status->finish();
    $mail->finish();
}
