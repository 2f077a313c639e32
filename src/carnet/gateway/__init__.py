"""The door before model APIs: who calls, what is asked for, what is done about it. What is decided comes from
`carnet.service.api` alone; the law, the log and the disk are not here."""
