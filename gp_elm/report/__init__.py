"""What a person looks at: the plots (``gp_elm.pl``) and the page ``report.html``."""
