"""Tables, figures and sheets, made from measurements and stores alone."""
