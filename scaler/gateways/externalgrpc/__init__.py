"""What the Cluster Autoscaler's cloud provider ``externalgrpc`` says on the wire, and the server that it calls."""
