"""The queue on JetStream, behind the verbs its callers use.

``intake`` submit · ``take`` take, in progress · ``finish`` done, defer, hold · ``bodies`` content ·
``lanes`` and ``leases`` who reads what · ``strikes`` what kills workers ·
``sweep`` what a crash left · ``listing`` what lies there.
"""
