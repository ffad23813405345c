"""Price formation: call-auction clearing, background price sources, recorded tapes."""
