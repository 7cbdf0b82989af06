function OnStoredInstance(instanceId, tags, metadata, origin)
  if tags['Modality'] == 'CT' then
    SendToModality(instanceId, 'ainode')
  end
end
