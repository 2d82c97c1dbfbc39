"""Measurements on the lab's hosts: scaler beside a floor and beside the field's usual playbook, in one run."""
