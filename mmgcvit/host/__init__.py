"""What mmengine, torch and the file system do not offer in this form: files, configs, devices, runners."""
