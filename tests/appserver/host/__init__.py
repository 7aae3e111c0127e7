"""Any web app of today on a host for plain CGI: what each is, and the host where it is tried."""
